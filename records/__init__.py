"""What is written and where: schemas, folders and buckets, files of images, and the errors that a user reads."""

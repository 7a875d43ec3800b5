"""What a folder lists: which files, with which class and id."""

from pathlib import Path

from salun_grid.images.entries import SUFFIXES
from salun_grid.images.folder import read_folder
from tests.support.pictures import write_picture


def test_a_folder_is_read_at_any_depth_with_all_endings_and_linked_classes(tmp_path: Path) -> None:
    """Hidden files, links to folders below the classes, and files with other endings are left out."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    picture = write_picture(elsewhere / "x.png")
    names = [f"a/{i}{ending}" for i, ending in enumerate(sorted(SUFFIXES))]
    names += [f"a/deep/er/{i}{ending.upper()}" for i, ending in enumerate(sorted(SUFFIXES))]
    for name in [*names, "a/.hidden.png", "a/.cache/0.png", "a/notes.txt", "a/README", ".git/0.png"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture.read_bytes())
    (root / "linked").symlink_to(elsewhere)
    (root / "a" / "loop").symlink_to(root)
    (root / ".hidden").symlink_to(elsewhere)
    found = read_folder(root)
    assert {entry.id for entry in found.entries} == {*names, "linked/x.png"}
    assert {entry.label for entry in found.entries} == {"a", "linked"}
    assert found.notes == ("2 other files left out (1 .txt, 1 no ending)",)

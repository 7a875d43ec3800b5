"""Parquet schemas of the result tables: fixed and versioned, with the unit of each field in its metadata.

They are the contract between the grid, which writes the tables, and every reader.
"""

import pyarrow as pa

SCHEMA_VERSION = 5
# The role of each method that is not an unlearning method; all others have the role `method`.
ROLES = {"retrain": "target", "retrain-again": "control", "original": "control"}


def _field(name: str, kind: pa.DataType, unit: str, meaning: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "meaning": meaning})


def _schema(table: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={"table": table, "schema_version": str(SCHEMA_VERSION)})


_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()

_CELL = [
    _field("study", _TEXT, "", "study that first computed this row"),
    _field("dataset", _TEXT, "", "dataset"),
    _field("image_size", _INT, "pixels", "side of the square images"),
    _field("augmentation", _TEXT, "", "none, default or default+ra"),
    _field("seed", _INT, "", "seed of the cell"),
    _field("method", _TEXT, "", "original, retrain, or an unlearning method"),
    _field("role", _TEXT, "", "target (the retrain), control (no-op, second retrain) or method"),
]


def _forget(nullable: bool) -> list[pa.Field]:
    without = "; null for an original's training" * nullable
    return [
        _field("forget", _TEXT, "", f"forget set, as a rule and its parameter: random:0.1{without}", nullable),
        _field("forget_rule", _TEXT, "", f"rule of the forget set: random{without}", nullable),
        _field("forget_rate", _FLOAT, "fraction", "|D_f| / |D_i| if it is the rule's parameter", nullable=True),
    ]


def _memory(name: str, of: str, what: str) -> pa.Field:
    return _field(name, _INT, "bytes", f"highest {what} during the {of}; null if unknown", nullable=True)


RUNS = _schema(
    "runs",
    [
        *_CELL,
        *_forget(nullable=False),
        _field("dataset_fingerprint", _TEXT, "", "hash of the dataset's pixels and labels, or of its file"),
        _field("num_classes", _INT, "classes", "classes of the dataset"),
        _field("num_forget", _INT, "images", "|D_f|"),
        _field("num_retain", _INT, "images", "|D_r|"),
        _field("protocol", _TEXT, "", "name of the protocol"),
        _field("protocol_json", _TEXT, "JSON", "every field of the protocol"),
        _field("model", _TEXT, "", "architecture, stem and width"),
        _field("seeds", _TEXT, "JSON", "seed of each random stream"),
        _field("method_params", _TEXT, "JSON", "hyper-parameters of the method"),
        _field("ua", _FLOAT, "percent", "unlearning accuracy: 100 − accuracy on D_f"),
        _field("ra", _FLOAT, "percent", "remaining accuracy: accuracy on D_r"),
        _field("ta", _FLOAT, "percent", "testing accuracy: accuracy on the test split"),
        _field("mia", _FLOAT, "percent", "percentage of D_f that the membership attack classifies as non-members"),
        _field("seconds_total", _FLOAT, "seconds", "RTE: mask + training or unlearning"),
        _field("seconds_mask", _FLOAT, "seconds", "time to compute the saliency mask"),
        _field("seconds_train", _FLOAT, "seconds", "time of training or unlearning"),
        _field("seconds_eval", _FLOAT, "seconds", "time of prediction and metrics; not in seconds_total"),
        _field("seconds_compile", _FLOAT, "seconds", "time of torch.compile, 0 if not used; not in seconds_total"),
        _field("seconds_load", _FLOAT, "seconds", "time to move data and weights to the device; not in seconds_total"),
        _field("num_train_images_seen", _INT, "images", "images passed through the model in training and mask"),
        _field("num_workers", _INT, "workers", "data-parallel workers of the training"),
        _field("device_name", _TEXT, "", "processor or GPU"),
        _field("precision", _TEXT, "", "compute dtype of the convolutions in training or unlearning: fp32 or bf16"),
        _field("precision_reason", _TEXT, "", "reason of the precision: requested, or resolved for the device"),
        _field("job_key", _TEXT, "", "key of this row's job; unique"),
        _field("model_key", _TEXT, "", "key of the evaluated model, models/<key>/"),
        _field("original_key", _TEXT, "", "key of the original of the same cell"),
        _field("retrain_key", _TEXT, "", "job key of the retrain of the same cell"),
        _field("code_version", _TEXT, "", "version and commit of this program"),
        _field("torch_version", _TEXT, "", "version of PyTorch"),
        _field("ray_version", _TEXT, "", "version of Ray; none if the jobs ran without it"),
        _field("finished_at", pa.timestamp("us", tz="UTC"), "UTC", "when the row was published"),
        _field("command", _TEXT, "", "command that reproduces this row"),
        _memory("memory_train", "training or unlearning", "resident memory of the process"),
        _memory("memory_eval", "evaluation", "resident memory of the process"),
        _memory("device_memory_train", "training or unlearning", "memory of the GPU that PyTorch allocated"),
        _memory("device_memory_eval", "evaluation", "memory of the GPU that PyTorch allocated"),
        _field("note", _TEXT, "", "a sentence if the method collapsed, else null", nullable=True),
    ],
)

EPOCHS = _schema(
    "epochs",
    [
        *_CELL,
        *_forget(nullable=True),
        _field("model_key", _TEXT, "", "key of the model that this epoch trained"),
        _field("epoch", _INT, "", "epoch, from 0"),
        _field("phase", _TEXT, "", "train, or the pass of an unlearning: forget, retain, mixed, attack, sample"),
        _field("loss", _FLOAT, "nats", "mean cross-entropy over the pass, in train mode"),
        _field("accuracy", _FLOAT, "percent", "accuracy over the pass, in train mode, augmented"),
        _field("learning_rate", _FLOAT, "", "learning rate"),
        _field("seconds", _FLOAT, "seconds", "duration of the pass"),
        _field("images_per_second", _FLOAT, "images/s", "images of the pass / seconds"),
    ],
)

PREDICTIONS = _schema(
    "predictions",
    [
        _field("job_key", _TEXT, "", "key of the row in runs"),
        _field("split", pa.dictionary(pa.int32(), _TEXT), "", "train, val or test"),
        _field("index", pa.int32(), "", "position in the split"),
        _field("forgotten", pa.bool_(), "", "whether the image is in D_f"),
        _field("label", pa.int32(), "", "true class"),
        _field("logits", pa.list_(pa.field("element", pa.float32())), "", "one per class"),
        _field("id", _TEXT, "", "id of the image; null where the data has none", nullable=True),
        _field(
            "group", _TEXT, "", "group of the image, such as its patient; null where the data has none", nullable=True
        ),
    ],
)

MEASURES = _schema(
    "measures",
    [
        *_CELL,
        *_forget(nullable=False),
        _field("dataset_fingerprint", _TEXT, "", "hash of the dataset's pixels and labels, or of its file"),
        _field("protocol", _TEXT, "", "name of the protocol"),
        _field("protocol_json", _TEXT, "JSON", "every field of the protocol"),
        _field("model", _TEXT, "", "architecture, stem and width"),
        _field("method_params", _TEXT, "JSON", "hyper-parameters of the method"),
        _field("job_key", _TEXT, "", "key of the probe's job; one for all of its rows"),
        _field("model_key", _TEXT, "", "key of the probed model, models/<key>/"),
        _field("probe", _TEXT, "", "probe"),
        _field("probe_params", _TEXT, "JSON", "settings of the probe"),
        _field("metric", _TEXT, "", "name of the measure"),
        _field("element", _INT, "", "number of the epoch, class or layer, if there are several", nullable=True),
        _field("value", _FLOAT, "", "the measure, in `unit`"),
        _field("unit", _TEXT, "", "unit of `value`"),
        _field("seconds", _FLOAT, "seconds", "duration of the whole probe"),
        _field("device_name", _TEXT, "", "processor or GPU of the probe"),
        _field("code_version", _TEXT, "", "version and commit of this program"),
    ],
)

SCHEMAS: dict[str, pa.Schema] = {"runs": RUNS, "epochs": EPOCHS, "predictions": PREDICTIONS, "measures": MEASURES}

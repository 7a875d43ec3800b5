"""Every field of a study file and every option × wrong values: one sentence, exit status 2, nothing written."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from salun_grid.grid.cli import main
from salun_grid.grid.study_file import FIELDS
from salun_grid.trainables.protocol import Protocol
from salun_grid.trainables.settings import Setting, settings_of

LONG = "x" * 5000
SETTINGS = {each.name: each for each in settings_of(Protocol)}

# TOML for each kind of wrong value, and the kinds of settings for which it is one.
NUMBER_IS_WRONG = (str, bool, tuple)
WRONG = {
    "a list": ("[[1]]", (int, float, str, bool, tuple)),
    "a list of texts": ('["1"]', (int, float, str, bool, tuple)),
    "a table": ("{ a = 1 }", (int, float, str, bool, tuple)),
    "a date": ("1979-05-27", (int, float, str, bool, tuple)),
    "true": ("true", (int, float, str, tuple)),
    "a text": ('"5"', (int, float, bool, tuple)),
    "empty": ('""', (int, float, str, bool, tuple)),
    "nan": ("nan", (int, float, str, bool, tuple)),
    "infinity": ("inf", (int, float, str, bool, tuple)),
    "minus infinity": ("-inf", (int, float, str, bool, tuple)),
    "a fraction": ("1.5", (int, *NUMBER_IS_WRONG)),
    "a long text": (f'"{LONG}"', (int, float, str, bool, tuple)),
    "control characters": ('"a\\u001b[2J\\n"', (int, float, str, bool, tuple)),
    "a huge number": ("1" + "0" * 400, NUMBER_IS_WRONG),
}


def outside(setting: Setting) -> list[str]:
    """Numbers just outside the range of a setting, as text."""
    bounds = setting.range
    step = 1 if setting.kind is int else 0.001
    found = [bounds.above, None if bounds.at_least is None else bounds.at_least - step]
    found += [bounds.below, None if bounds.at_most is None else bounds.at_most + step]
    return [f"{value:g}" for value in found if value is not None]


FIELD_CASES = [
    *((name, kind) for name, each in SETTINGS.items() for kind, (_, wrong) in WRONG.items() if each.kind in wrong),
    *((name, f"outside {value}") for name, each in SETTINGS.items() for value in outside(each)),
]


def refused(words: list[str], folder: Path) -> str:
    """The one sentence about wrong input; fails for a traceback, another exit status, or anything written."""
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(main, [*words, "--out", str(folder / "out")])
    assert result.exit_code == 2, (words, result.output, result.exception)
    assert isinstance(result.exception, SystemExit), (words, result.exception)
    (sentence,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert sentence.isprintable()
    assert sorted(folder.rglob("*")) == before
    return sentence


def study(folder: Path, text: str) -> list[str]:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return ["plan", str(folder / "study.toml")]


@pytest.mark.parametrize(("name", "kind"), FIELD_CASES)
def test_a_setting_in_a_study_file(name: str, kind: str, tmp_path: Path) -> None:
    value = WRONG[kind][0] if kind in WRONG else kind.removeprefix("outside ")
    if SETTINGS[name].kind is tuple and kind not in WRONG:
        value = f"[{value}]"
    sentence = refused(study(tmp_path, f"[protocol]\n{name} = {value}\n"), tmp_path)
    # A table looks like a section whose field is unknown.
    assert name in sentence or (kind == "a table" and f"{name}.a" in sentence) or "the protocol's name" in sentence


@pytest.mark.parametrize("name", [name for name, each in SETTINGS.items() if each.kind is not str])
@pytest.mark.parametrize("text", ["", "many", "nan", "inf", "-inf", "1e999", "[1]", "0x1", LONG, "a\x1b[2J", "1;2"])
def test_a_setting_on_the_command_line(name: str, text: str, tmp_path: Path) -> None:
    if (name, text) == ("training.milestones", ""):
        return  # no milestone
    assert refused(["plan", "digits", "--set", f"{name}={text}"], tmp_path).startswith(f"Error: {name} must be ")


AXIS_VALUES = {
    "name": ["5", "true", "[]", '""', '"../../../evil"', '"a/b"', '".x"', f'"{LONG}"', '"a\\nb"', "nan", '["a"]'],
    "datasets": ["3", "[]", "[3]", '[""]', '"digits"', f'["{LONG}"]', '["a\\u0007"]', "[true]", '[["digits"]]', "nan"],
    "forget_rates": ["0.1", "[]", "[true]", '["0.1"]', "[0]", "[1]", "[-0.1]", "[nan]", "[inf]", "[[0.1]]", "[1e400]"],
    "forget_sets": [
        '"random:0.1"',
        "[]",
        "[0.1]",
        '["random"]',
        '["random:"]',
        '["random:x"]',
        '["random:1"]',
        '["ramdon:0.1"]',
    ],
    "augmentations": ['"none"', "[]", "[1]", '["None!"]', f'["{LONG}"]', '["a\\u001b"]', "[true]", "nan"],
    "seeds": ["0", "[]", "[0.5]", "[true]", '["0"]', "[-1]", "[2147483648]", "[nan]", "[inf]", "[[0]]"],
    "methods": [
        *('"salun"', "[]", "[1]", '["salum"]', f'["{LONG}"]', '["salun:alpha=1"]', '["salun:epochs=0"]', "[{}]"),
        *('[{ name = "salun", epochs = "x" }]', '[{ name = "retrain", epochs = 1 }]', "[{ name = 3 }]", "nan"),
        *('["salun:epochs"]', '["salun:mask.fraction=2"]', '[{ name = "salun", mask = { mode = "soft" } }]'),
    ],
    "probes": ['"relearn"', "[]", "[1]", '["relaern"]', '["relearn:epochs=0"]', '["relearn:epochs"]', "nan"],
    "allow_empty_classes": ["1", '"true"', "[]", "nan"],
    "question": [
        *("3", '"auc"', "[]", '{ attack = "acu" }', "{ attack = 3 }", "{ margin_points = 0 }", "{ margin = 1.0 }"),
        *("{ margin_points = nan }", '{ margin_points = "1" }', "{ margin_points = true }", "{ margin_points = 101 }"),
    ],
    "protocol": ["3", '"paper"', "[]", "{ base = 3 }", '{ base = ["paper"] }', '{ base = "papre" }', '{ base = "" }'],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in AXIS_VALUES.items() for value in values])
def test_a_field_of_a_study_file(name: str, value: str, tmp_path: Path) -> None:
    sentence = refused(study(tmp_path, f"{name} = {value}\n"), tmp_path)
    word = name.removesuffix("s").replace("_", " ").split()[0]
    assert word in sentence.replace("_", " "), sentence


def test_every_field_of_a_study_file_has_its_cases() -> None:
    assert set(AXIS_VALUES) == set(FIELDS)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n# only a remark\n", "is empty"),
        (b"\xff\xfe\x00", "not valid TOML"),
        (b"a = [", "not valid TOML"),
        (b"a = " + b"[" * 3000, "not valid TOML"),
        (b"sedes = [1]", "Did you mean 'seeds'"),
        (b"[protocol.unlearning]\nlr = 1", "Did you mean 'unlearning.learning_rate'"),
        (b"[protocol]\nx.y.z = 1", "x.y.z"),
        (b"#" * 2_000_000, "is larger than"),
        (b"[protocol]\n" + b"a." * 900 + b"b = 1", "nested too deeply"),
        (b"seeds = " + b"[" * 400 + b"]" * 400, "seeds must be"),
    ],
)
def test_a_study_file_that_is_none(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(content)
    assert why in refused(["plan", str(tmp_path / "study.toml")], tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b'\xef\xbb\xbfdatasets = ["digits"]\n[protocol]\nbase = "digits"\n')
    result = CliRunner().invoke(main, ["plan", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("study          study (protocol study)")


OPTION_CASES = {
    "--dataset": ["", LONG, "a\x1b[2J", "none.npz", f"{LONG}.npz", "chestmnist", "organmnist3d"],
    "--forget-rate": ["0", "1", "-1", "nan", "inf", "", "x", LONG, "1e999", "a\x1b"],
    "--forget": [
        "",
        ":",
        "random",
        "random:",
        "random:nan",
        "random:1",
        "ramdon:0.1",
        LONG,
        f"random:{LONG}",
        "a\x1b[2J",
    ],
    "--augmentation": ["", "None!", LONG, "a\x1b[2J"],
    "--seed": ["-1", "2147483648", "0.5", "nan", "inf", "", "x", LONG, "1" * 400],
    "--method": [
        *("", ":", "salun:x", "salun:x=1", "salun:epochs=nan", "retrain:epochs=1"),
        *(LONG, "a\x1b[2J", "salun:mask.fraction=0"),
    ],
    "--probe": ["", ":", "relaern", "relearn:x=1", "relearn:epochs", "relearn:epochs=0", LONG, "a\x1b"],
    "--architecture": ["", "resnet", LONG, "a\x1b[2J"],
    "--epochs": ["0", "-1", "0.5", "nan", "", "x", LONG],
    "--unlearning-epochs": ["0", "-1", "0.5", "nan", "", "x", LONG],
    "--image-size": ["-1", "7", "513", "0.5", "nan", "", "x", LONG],
    "--set": ["", "x", "=", "x=1", "training=1", "training.epochs", LONG, f"{LONG}=1", "a\x1b=1", "name="],
    "--price": ["0", "-1", "nan", "inf", "", "x", LONG],
    "--measured": ["", "none", LONG, "a\x1b[2J", "s3://", "s3://bucket/#"],
}


@pytest.mark.parametrize(
    ("option", "text"), [(option, text) for option, texts in OPTION_CASES.items() for text in texts]
)
def test_an_option(option: str, text: str, tmp_path: Path) -> None:
    refused(["plan", "digits", f"{option}={text}"], tmp_path)


@pytest.mark.parametrize("out", ["", LONG, "a/" + LONG, "a\0b", "xyz://y", "s3://"])
@pytest.mark.parametrize("command", ["plan", "run", "status", "export"])
def test_an_out_folder(command: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [command, *(["digits"] if command in ("plan", "run") else []), f"--out={out}"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (result.output, result.exception)
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_every_option_of_plan_has_its_cases() -> None:
    options = {option for each in main.commands["plan"].params for option in each.opts if option.startswith("--")}
    assert options - {"--out", "--allow-empty-classes", "--power"} == set(OPTION_CASES)

"""The page in a real headless Chromium, on a phone's and a desktop's width, light and dark; needs no network."""

import html
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from salun_grid.analysis.commands import write_report
from tests.support.folders import make_grid, write_epochs, write_folder

PHONE, DESKTOP = 390, 1200

# Runs inside the page: how it lies on the screen, its colours, and what a click on a heading does.
PROBE = """
const errors = [];
addEventListener("error", event => errors.push(event.message));
addEventListener("securitypolicyviolation", event => errors.push(event.blockedURI));
addEventListener("load", () => {
  const root = document.documentElement, table = document.querySelectorAll("table")[1];
  const column = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent.startsWith("UA"));
  const read = () => [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
  const button = table.tHead.rows[0].cells[column].querySelector("button");
  const before = read();
  button.click(); const up = read(), upState = button.parentElement.ariaSort;
  button.click(); const down = read(), downState = button.parentElement.ariaSort;
  const rows = [...document.querySelectorAll("table")].at(-1);
  const finished = [...rows.tHead.rows[0].cells].findIndex(cell => cell.textContent.startsWith("Finished"));
  rows.tHead.rows[0].cells[finished].querySelector("button").click();
  const dates = [...rows.tBodies[0].rows].map(row => row.cells[finished].textContent);
  const wide = [...document.querySelectorAll(".wide")].map(box => box.getBoundingClientRect().right);
  const text = document.querySelector("svg text");
  parent.postMessage(JSON.stringify({
    width: innerWidth, scrolls: root.scrollWidth > root.clientWidth, widest: Math.max(...wide),
    ink: getComputedStyle(document.body).color, svgInk: getComputedStyle(text).fill,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    resources: performance.getEntriesByType("resource").map(entry => entry.name),
    font: parseFloat(getComputedStyle(table.tBodies[0].rows[0].cells[0]).fontSize),
    firstCell: getComputedStyle(table.tBodies[0].rows[0].cells[0]).display,
    before, up, down, dates, upState, downState, errors,
  }), "*");
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    methods = ("retrain", "retrain-again", "original", "salun")
    runs = make_grid(("bloodmnist", "pathmnist"), (0.1,), ("none", "default"), (0, 1, 2), methods)
    runs = [run | {"finished_at": datetime(2026, 5, 1 + 7 * n % 31, tzinfo=UTC)} for n, run in enumerate(runs)]
    write_epochs(folder, runs)
    return write_report(str(write_folder(folder, runs))).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser's path; CI must look at the page, so there a missing browser is a failure."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("no chromium in PATH: the page was opened in no browser")
    assert path, "no chromium in PATH, and CI must not skip these tests"
    return path


@pytest.fixture(scope="module")
def look(chromium: str, page: str, tmp_path_factory: pytest.TempPathFactory):
    """A function that says what the probe found at a width, in a colour scheme. A headless window is never narrower
    than some 500 px, so the page stands in a frame of the width asked for."""
    found: dict[tuple[int, bool], dict] = {}

    def look(width: int, dark: bool) -> dict:
        if (width, dark) not in found:
            probed = html.escape(page.replace("<body>", f"<body><script>{PROBE}</script>", 1))
            frame = tmp_path_factory.mktemp("frame") / "frame.html"
            frame.write_text(
                '<meta charset="utf-8"><meta name="color-scheme" content="light dark"><pre id="out"></pre><script>'
                "onmessage = event => { document.getElementById('out').textContent = event.data; }</script>"
                f'<iframe srcdoc="{probed}" style="width:{width}px;height:900px;border:0"></iframe>',
                encoding="utf-8",
            )
            scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
            options = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--virtual-time-budget=10000",
                "--dump-dom",
                scheme,
            ]
            done = subprocess.run(
                [chromium, *options, f"--user-data-dir={frame.parent / 'profile'}", frame.as_uri()],
                capture_output=True,
                text=True,
                timeout=120,
            )
            out = re.search(r'<pre id="out">(.+?)</pre>', done.stdout, re.DOTALL)
            assert out, done.stderr[-2000:]
            found[width, dark] = json.loads(html.unescape(out[1]))
        return found[width, dark]

    return look


VIEWS = [(PHONE, False), (PHONE, True), (DESKTOP, False), (DESKTOP, True)]


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_the_page_fits_its_screen_in_both_colour_schemes(look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    assert (seen["width"], seen["dark"]) == (width, dark)
    assert not seen["scrolls"]
    assert seen["widest"] <= width
    assert seen["font"] >= 12


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_text_and_figures_are_drawn_in_the_schemes_ink(look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    lightness = sum(map(int, re.findall(r"\d+", seen["ink"])[:3])) / (3 * 255)
    assert lightness > 0.8 if dark else lightness < 0.2
    assert seen["svgInk"] == seen["ink"]


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_nothing_is_fetched_and_nothing_fails(look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    assert seen["errors"] == []
    assert [name for name in seen["resources"] if not name.startswith("data:")] == []


def test_rows_are_cards_on_a_phone_and_rows_on_a_desktop(look) -> None:
    assert look(PHONE, False)["firstCell"] == "block"
    assert look(DESKTOP, False)["firstCell"] == "table-cell"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_click_on_a_heading_sorts_by_number_and_a_second_one_turns_it_round(look, width: int) -> None:
    seen = look(width, False)

    def numbers(cells: list[str]) -> list[float]:
        return [float(re.match(r"[\d.]+", cell)[0]) for cell in cells]

    assert numbers(seen["before"]) != sorted(numbers(seen["before"]))
    assert numbers(seen["up"]) == sorted(numbers(seen["before"]))
    assert numbers(seen["down"]) == sorted(numbers(seen["before"]), reverse=True)
    assert (seen["upState"], seen["downState"]) == ("ascending", "descending")


def test_dates_are_sorted_by_all_of_their_figures(look) -> None:
    dates = look(DESKTOP, False)["dates"]
    assert len(set(dates)) > 20
    assert dates == sorted(dates)

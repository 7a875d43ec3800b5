"""RTE in minutes, one number per device: seconds measured on different devices are never averaged."""

import math
from collections.abc import Iterable, Mapping

from salun_grid.analysis.gaps import Summary

Signs = Mapping[str, str]


def device_signs(summaries: Iterable[Summary]) -> dict[str, str]:
    """A sign for each device behind `summaries`: `d1`, `d2`, …; empty where there is one device alone."""
    devices = sorted({device for summary in summaries for device in summary.seconds_on})
    return {device: f"d{i}" if len(devices) > 1 else "" for i, device in enumerate(devices, start=1)}


def rte_cell(summary: Summary, signs: Signs, digits: int = 3) -> str:
    """`1.500 ± 0.200`; where `signs` tells devices apart, `1.500 ± 0.200 (d1), 0.700 (d2)`."""
    cells = []
    for device, seconds in summary.seconds_on.items():
        value = f"{seconds.mean / 60:.{digits}f}"
        if not math.isnan(seconds.sd):
            value += f" ± {seconds.sd / 60:.{digits}f}"
        cells.append(f"{value} ({signs[device]})" if signs[device] else value)
    return ", ".join(cells)


def devices_note(signs: Signs) -> str:
    """One sentence with the devices on which RTE was measured."""
    names = [f"{sign} = {device}" if sign else device for device, sign in signs.items()]
    return f"RTE was measured on {'; '.join(names)}{', each device by itself' * (len(names) > 1)}."

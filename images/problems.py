"""What a file of images should not have: equal pixels or a patient in several splits, classes without train images."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from salun_grid.images.wording import counted, some

MAX_SHOWN = 3


def places_of(keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """The places of each key that occurs more than once, in order of the first."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        places[key].append(i)
    return {key: found for key, found in places.items() if len(found) > 1}


def duplicate_warnings(
    names: Sequence[str], classes: Sequence[str], digests: Sequence[bytes], splits: Sequence[str]
) -> Iterator[str]:
    """A sentence on equal images across splits and one on those with different classes, where there are any.

    The arguments have one element per image: its id, class, digest of pixels, and split.
    """
    groups = list(places_of(digests).values())
    for kinds, where in ((splits, "split"), (classes, "class")):
        found = [group for group in groups if len({kinds[i] for i in group}) > 1]
        if found:
            pairs = some([pair(group, names, kinds) for group in found])
            copies = f"{sum(map(len, found)):,} copies in all"
            yield f"{counted(len(found), 'image')} with equal pixels in more than one {where} ({copies}): {pairs}."


def pair(group: Sequence[int], names: Sequence[str], kinds: Sequence[str]) -> str:
    """`a.png (train) = b.png (test)`: the first image, and the next of another kind."""
    first = group[0]
    second = next(i for i in group if kinds[i] != kinds[first])
    return f"{names[first]} ({kinds[first]}) = {names[second]} ({kinds[second]})"


def patient_warnings(patients: Sequence[str], splits: Sequence[str]) -> Iterator[str]:
    """A sentence on the patients with images in more than one split, if there are any; "" is no patient."""
    places = places_of(patients)
    shared = [key for key, found in places.items() if key and len({splits[i] for i in found}) > 1]
    if shared:
        yield (
            f"{counted(len(shared), 'patient')} with images in more than one split ({some(sorted(map(str, shared)))}), "
            "so the splits are not independent; an import without --split-column splits by patient."
        )


def class_warnings(classes: Sequence[str], splits: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """A sentence on those of the class `names` without a train image, if there are any."""
    trained = {name for name, split in zip(classes, splits, strict=True) if split == "train"}
    if absent := [name for name in names if name not in trained]:
        yield f"{counted(len(absent), 'class')} without a train image ({some(absent)}); add some or leave it out."

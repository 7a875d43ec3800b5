"""What can go wrong that a person can mend."""


class InputError(ValueError):
    """Something the user gave is wrong; the message says what, and what to do instead."""


class Diverged(ArithmeticError):
    """A loss stopped being a number; the message says where, and what to do."""


def unknown_choice(what: str, given: str, choices: list[str]) -> InputError:
    """An `InputError` for a name that is not among `choices`; it names the nearest one."""
    from difflib import get_close_matches

    near = get_close_matches(given.lower(), [choice.lower() for choice in choices], n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(f"unknown {what} {given!r}.{hint} Choose from: {', '.join(choices)}.")

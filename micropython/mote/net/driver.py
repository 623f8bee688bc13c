"""What drivers of networks have or have not."""


def ask(nic: object, name: str, *arguments: object, **options: object) -> object:
    """Call a method that ports have or have not; None where it fails."""
    try:
        return getattr(nic, name)(*arguments, **options)
    except Exception:
        return None

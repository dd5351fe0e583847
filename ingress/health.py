"""How the runtime is, in one word and one status, for whoever balances load or watches."""

from .port import IngressEngine


def health_of(engine: IngressEngine) -> tuple[int, str]:
    """The HTTP status and the word; 503 where new work is not welcome.

    With a slow disk it is ``degraded``, and new work still welcome: to send everybody away would
    make a slow server one that is down.
    """
    health = engine.health
    if health != "ok":
        return 503, health
    if engine.is_disk_full:
        return 503, "full"
    return 200, "degraded" if engine.is_disk_slow else "ok"

"""An alert where asyncio wants a coroutine: create_task(alert), gather(), wait_for(). Loaded by the first of them."""

from asyncio import core


def method(name: str, alert: object) -> object:
    """Return the method, send or throw, by which the running task goes on to wait for a mote.Alert."""
    steps = alert.steps = getattr(alert, "steps", {})
    task = id(core.cur_task)
    if task not in steps:
        steps[task] = iter(alert)
    step = getattr(steps[task], name)

    def go_on(argument: object) -> object:
        try:
            return step(argument)
        except BaseException:  # it has ended, StopIteration included; another task may have this number then
            steps.pop(task, None)
            raise

    return go_on

"""An embedded stand-in for the Augment backend: for the demo, the tests and the load tests.

It speaks the wire protocol over real HTTP and refuses requests that the backend would refuse. How it answers is chosen
by the model (`claude-sim-<scenario>`), by a directive in the last user message (`@@{"scenario": "stall"}@@`, see
`directive.py`), or by `Simulator.script`; otherwise a small scripted agent answers (`agent.py`). `SCENARIOS` lists the
scenarios, `table()` renders them. Only `server.py` does I/O.
"""

from augment_open_proxy.simulator.answer import TokenUsage
from augment_open_proxy.simulator.backend import Received
from augment_open_proxy.simulator.request import ChatStreamRequest
from augment_open_proxy.simulator.scenarios import SCENARIOS, Scenario, table
from augment_open_proxy.simulator.server import DEFAULT_TOKEN, Simulator
from augment_open_proxy.simulator.steps import Cut, Hang, Pause, Reset, Send, Stall, Status, Step

__all__ = [
    "DEFAULT_TOKEN",
    "SCENARIOS",
    "ChatStreamRequest",
    "Cut",
    "Hang",
    "Pause",
    "Received",
    "Reset",
    "Scenario",
    "Send",
    "Simulator",
    "Stall",
    "Status",
    "Step",
    "TokenUsage",
    "table",
]

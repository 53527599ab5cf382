"""The protocols that there are."""

from collections.abc import Mapping

from contract import runtime
from device_agent.measuring.protocols.in_situ import InSitu
from device_agent.measuring.protocols.isolated import Isolated
from device_agent.measuring.protocols.protocol import Protocol

PROTOCOLS: Mapping[runtime.Protocol, Protocol] = {"in_situ": InSitu(), "isolated": Isolated()}

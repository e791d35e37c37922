"""What every stage of a cascade promises, as pytest classes: one for each seat.

    class TestMine(TextToSpeechContract):
        name = "mine/model"                      # or a method `stage`

        @asynccontextmanager
        async def world(self):                   # what must run around each check
            async with simulator("mine").serve() as url:
                yield {"base_url": url, "api_key": "any"}

        @asynccontextmanager
        async def dying_world(self):             # the same, but it breaks off in the middle of its work
            async with simulator("mine", SimulatorSettings(faults=...)).serve() as url:
                yield {"base_url": url, "api_key": "any"}

`world` gives fields of the stage's `SessionConfig`. Time is real unless `virtual_time` is set; then limits are exact.
"""

from .hearing import SpeechToTextContract
from .speaking import TextToSpeechContract
from .stage import StageContract
from .thinking import LanguageModelContract

__all__ = ["LanguageModelContract", "SpeechToTextContract", "StageContract", "TextToSpeechContract"]

"""How the Stable Diffusion tool of Dify is told from other callers, and what it wants.

For each picture it calls twice: POST options {"sd_model_checkpoint": X}, without a deadline, and then POST txt2img, which it gives up
after 120 s. Both as python-requests, as JSON without a Content-Type, each on a connection of its own. (langgenius/stablediffusion 0.0.7)
"""
import time

AGENT = "python-requests/"
# A txt2img follows its options at once. Options that none follows are somebody's who wanted them set.
FOLLOWS_S = 10
# How long a caller that asked for a checkpoint by options goes on drawing with it, since it last drew.
KEEPS_S = 600
CALLERS = 1000


def is_tool(request):
    return request.headers.get("User-Agent", "").startswith(AGENT) and "Content-Type" not in request.headers


def is_tool_options(request, body):
    return is_tool(request) and isinstance(body, dict) and set(body) == {"sd_model_checkpoint"}


def is_tool_picture(request, body):
    """Its txt2img: it always brings these three, the last one from a WebUI of long ago."""
    if not is_tool(request) or not isinstance(body, dict):
        return False
    override = body.get("override_settings")
    return isinstance(override, dict) and "sd_model_checkpoint" in override and "override_settings_restore_afterwards" in body and "firstphase_width" in body


def caller(request):
    """Who calls, as well as can be told of one that keeps no connection and no cookie."""
    return request.remote or "", request.headers.get("User-Agent", "")


class Wishes:
    """The checkpoint that each caller asked for by options, for the pictures that it asks for next."""

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        # Caller -> (name, when), the last one that it asked for.
        self.last = {}
        # Caller -> wishes whose picture has not come yet, the oldest first: of two apps behind one address, each gets its own.
        self.open = {}

    def ask(self, who, name):
        """A wish of the tool, whose picture follows. Gives it, for `unanswered`."""
        wish = (name, self.clock())
        self.open.setdefault(who, []).append(wish)
        self.set(who, name)
        return wish

    def set(self, who, name):
        """What was set for good; this caller's pictures keep to it when another sets something else."""
        self.last[who] = (name, self.clock())
        if len(self.last) > CALLERS:
            self._sweep()

    def take(self, who, name=None):
        """The checkpoint that this caller's next picture is to be drawn with; None: it never asked for one.
        name: the picture itself says which."""
        now = self.clock()
        waiting = [wish for wish in self.open.pop(who, []) if now - wish[1] <= FOLLOWS_S]
        last, when = self.last.get(who, (None, 0.0))
        if name is None and not waiting and now - when > KEEPS_S:
            self.last.pop(who, None)
            return None
        chosen = name or (waiting[0][0] if waiting else last)
        answered = next((wish for wish in waiting if wish[0] == chosen), None)
        waiting = [wish for wish in waiting if wish is not answered]
        if waiting:
            self.open[who] = waiting
        if chosen == last:
            self.last[who] = (last, now)
        return chosen

    def unanswered(self, who, wish):
        """Whether no picture came for it; it is then nobody's any more."""
        waiting = self.open.get(who, [])
        if wish not in waiting:
            return False
        waiting.remove(wish)
        return True

    def _sweep(self):
        now = self.clock()
        for who in [who for who, (_, when) in self.last.items() if now - when > KEEPS_S]:
            self.last.pop(who, None)
            self.open.pop(who, None)

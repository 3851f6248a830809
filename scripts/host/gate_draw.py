"""Calls that keep the GPU busy: one at a time, with the checkpoint that their caller asked for, and an answer before the caller gives up."""
import asyncio
import logging
import secrets

import aiohttp
from aiohttp import web

from gate_answers import problem
from gate_body import TooLarge, read_body
from gate_dify import Wishes, caller, is_tool_picture
from gate_line import Full
from gate_upstream import Unreachable

log = logging.getLogger("gate")

HEADER = "X-Atelier-Deadline"
# A picture that nobody waits for any more, and that can't be broken off: how long the line waits for its end.
LONGEST_S = 3600
# How often a picture that is to be broken off is asked about.
BREAK_S = 0.5
PICTURES = ("/sdapi/v1/txt2img", "/sdapi/v1/img2img")
CALLS = {
    *PICTURES,
    *("/sdapi/v1/" + name for name in ("extra-single-image", "extra-batch-images", "interrogate", "unload-checkpoint", "reload-checkpoint")),
    "/controlnet/detect",
}


def forget(job):
    """Of an answer that nobody wants, only the connection matters."""
    if not job.cancelled() and not job.exception() and isinstance(job.result(), aiohttp.ClientResponse):
        job.result().close()


class Drawing:
    def __init__(self, config, upstream, passage, checkpoints, line, starts):
        self.config = config
        self.upstream = upstream
        self.passage = passage
        self.checkpoints = checkpoints
        self.line = line
        self.starts = starts
        self.wishes = Wishes()
        # What goes on without a caller: pictures to be broken off, switches that were put off.
        self.tasks = set()

    def behind(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self):
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def draw(self, request, headers):
        """A drawing call from its body to its answer."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        if self.line.full():
            return self.refused()
        try:
            body = await read_body(request)
        except TooLarge:
            return problem(413, "TooLarge", "The request is larger than 512 MB")
        try:
            limit = self.deadline(request, body.value)
            if limit is not None and limit < 0:
                return problem(400, "BadDeadline", f"The header {HEADER} is {request.headers[HEADER]!r}; wanted: seconds, 0 for no limit")
            task = None
            if request.path in PICTURES and isinstance(body.value, dict):
                try:
                    wrong = await self.prepare(request, body)
                except Unreachable as error:
                    return self.passage.silence(error.__cause__ or error)
                if wrong:
                    return wrong
                task = body.value.get("force_task_id")
            if body.length and "Content-Type" not in request.headers:
                headers = [*headers, ("Content-Type", "application/json")]

            async def exchange():
                return await self.passage.send(request, headers, body.to_send() if body.length else None, body.length)

            return await self.take_turn(request, exchange, task, arrived, limit)
        finally:
            body.close()

    def deadline(self, request, value):
        """Seconds after which this caller gives up; None: it waits as long as it takes; negative: it says nonsense."""
        said = request.headers.get(HEADER)
        if said is not None:
            try:
                seconds = float(said)
            except ValueError:
                return -1
            return None if seconds == 0 else seconds if 0 < seconds < float("inf") else -1
        return self.config.deadline or None if is_tool_picture(request, value) else None

    async def prepare(self, request, body):
        """Puts the caller's checkpoint into the body; gives an answer where there is no such checkpoint."""
        value = dict(body.value)
        override = value.get("override_settings")
        if not isinstance(override, (dict, type(None))):
            # The WebUI says what is wrong with it.
            return None
        override = dict(override or {})
        asked = override.get("sd_model_checkpoint") or None
        if asked is None and is_tool_picture(request, value):
            asked = value.get("model") or None
        if asked is not None and not isinstance(asked, str):
            return None
        if asked:
            chosen = await self.checkpoints.chosen(asked)
            if chosen is None:
                return problem(404, "UnknownCheckpoint", self.checkpoints.unknown(asked))
            asked = chosen.name
        if asked or request.path == "/sdapi/v1/txt2img":
            asked = self.wishes.take(caller(request), asked)
        if asked:
            override["sd_model_checkpoint"] = asked
        else:
            override.pop("sd_model_checkpoint", None)
        if override or value.get("override_settings"):
            value["override_settings"] = override
        # By it the WebUI says whether it is this picture that it draws.
        value["force_task_id"] = value.get("force_task_id") or f"task(gate-{secrets.token_hex(8)})"
        body.rewrite(value)
        return None

    async def take_turn(self, request, exchange, task, arrived, limit):
        """exchange: gives the WebUI's answer, or one of our own. task: by what the WebUI knows this picture."""
        clock = asyncio.get_running_loop().time

        def left():
            return None if limit is None else max(0.0, arrived + limit - clock())

        ahead = len(self.line.waiting) + self.line.busy
        try:
            turn = await self.line.turn(left())
        except Full:
            return self.refused()
        except asyncio.TimeoutError:
            return self.late(limit, f"It never began: {ahead} were before it")
        waited = clock() - arrived
        request["waited"] = waited
        job = asyncio.ensure_future(exchange())
        try:
            done, _ = await asyncio.wait({job}, timeout=left())
        except asyncio.CancelledError:
            self.behind(self.see_off(job, turn, task, "its caller hung up"))
            raise
        if not done:
            try:
                told = await self.progress()
            finally:
                # Also where the caller hangs up just now: else the turn would never end.
                self.behind(self.see_off(job, turn, task, "its caller's deadline passed"))
            end = "It was broken off" if self.config.interrupt else "It is drawn to its end all the same"
            return self.late(limit, f"It waited {waited:.0f} s for its turn{told}. {end}")
        # The WebUI writes nothing before it has drawn all: the next one may begin while this one is carried home.
        turn.end()
        try:
            answer = job.result()
        except Unreachable as error:
            return self.passage.silence(error.__cause__ or error)
        except (aiohttp.ClientError, OSError) as error:
            return self.passage.silence(error)
        return answer if isinstance(answer, web.Response) else await self.passage.give_back(request, answer)

    def refused(self):
        waiting = len(self.line.waiting)
        text = f"{waiting} pictures wait already, and no more may (webui.gate.queue); try again in a while"
        return problem(503, "QueueFull", text, retry=self.line.soon())

    def late(self, limit, how):
        text = f"No picture within {limit:.0f} s. {how}. Ask for fewer steps or a smaller picture, ask again when fewer wait, or see webui.gate.deadline"
        return problem(504, "TooLate", text, retry=self.line.soon())

    async def progress(self):
        try:
            _, told = await self.upstream.ask("/sdapi/v1/progress?skip_current_image=true", timeout=2)
            state = told["state"]
            return f", step {state['sampling_step']} of {state['sampling_steps']} was reached" if state["job"] else ""
        except (Unreachable, TypeError, KeyError):
            return ""

    async def see_off(self, job, turn, task, why):
        """Waits for the end of a picture that nobody waits for; until then the GPU is not free, whatever the line says."""
        loop = asyncio.get_running_loop()
        end = loop.time() + LONGEST_S
        log.info("a picture is %s: %s", "broken off" if self.config.interrupt else "drawn for nobody", why)
        try:
            while not job.done() and loop.time() < end:
                if self.config.interrupt and await self.is_drawn(task):
                    try:
                        await self.upstream.ask("/sdapi/v1/interrupt", {})
                    except Unreachable:
                        pass
                await asyncio.wait({job}, timeout=BREAK_S)
            if not job.done():
                log.warning("a picture that nobody waits for did not end within %s s; the line goes on", LONGEST_S)
        finally:
            turn.end()
            job.cancel()
            job.add_done_callback(forget)

    async def is_drawn(self, task):
        """Whether what the WebUI draws now is this picture: somebody at its page may be drawing, and ours wait behind."""
        try:
            if task is not None:
                status, told = await self.upstream.ask("/internal/progress", {"id_task": task, "live_preview": False})
                if status == 200 and isinstance(told, dict) and "active" in told:
                    return bool(told["active"])
            # Without its page the WebUI has no such call; then nobody draws but the gate.
            _, told = await self.upstream.ask("/sdapi/v1/progress?skip_current_image=true")
            return str(told["state"]["job"]).startswith("scripts_")
        except (Unreachable, TypeError, KeyError):
            return False

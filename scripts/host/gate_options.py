"""POST options: no needless change of checkpoint, none in the middle of a picture, and an error where a load failed."""
import asyncio
import logging

import aiohttp

from gate_answers import as_json, hint, problem
from gate_body import TooLarge, read_body
from gate_dify import FOLLOWS_S, caller, is_tool_options
from gate_line import Full
from gate_upstream import Unreachable

log = logging.getLogger("gate")

KEY = "sd_model_checkpoint"
# From a slow disk, a large checkpoint takes minutes.
LOAD_S = 1800


class Options:
    def __init__(self, upstream, passage, checkpoints, drawing):
        self.upstream = upstream
        self.passage = passage
        self.checkpoints = checkpoints
        self.drawing = drawing

    async def set(self, request, headers):
        arrived = asyncio.get_running_loop().time()
        try:
            body = await read_body(request)
        except TooLarge:
            return problem(413, "TooLarge", "The request is larger than 512 MB")
        if body.length and "Content-Type" not in request.headers:
            headers = [*headers, ("Content-Type", "application/json")]

        async def exchange():
            return await self.passage.send(request, headers, body.to_send() if body.length else None, body.length)

        try:
            text = body.value.get(KEY) if isinstance(body.value, dict) else None
            if not isinstance(text, str) or not text:
                return await self.passage.give_back(request, await exchange())
            wanted = await self.checkpoints.chosen(text)
            if wanted is None:
                return problem(404, "UnknownCheckpoint", self.checkpoints.unknown(text))
            who = caller(request)
            if is_tool_options(request, body.value):
                self.put_off(who, wanted)
                return as_json(200, None)
            if await self.checkpoints.current() == wanted:
                self.drawing.wishes.set(who, wanted.name)
                rest = {key: value for key, value in body.value.items() if key != KEY}
                if not rest:
                    return as_json(200, None)
                body.rewrite(rest)
                return await self.passage.give_back(request, await exchange())
            body.rewrite({**body.value, KEY: wanted.name})

            async def switch():
                answer = await exchange()
                if answer.status != 200:
                    return answer
                answer.close()
                return await self.failure(wanted) or as_json(200, None)

            response = await self.drawing.take_turn(request, switch, None, arrived, None)
            if response.status == 200:
                self.drawing.wishes.set(who, wanted.name)
            return response
        except Unreachable as error:
            return self.passage.silence(error.__cause__ or error)
        except (aiohttp.ClientError, OSError) as error:
            return self.passage.silence(error)
        finally:
            body.close()

    def put_off(self, who, wanted):
        """The tool's txt2img follows, and brings the checkpoint with it; where none follows, it is set after all."""
        wish = self.drawing.wishes.ask(who, wanted.name)

        async def later():
            await asyncio.sleep(FOLLOWS_S)
            if not self.drawing.wishes.unanswered(who, wish):
                return
            try:
                if await self.checkpoints.current() == wanted:
                    return
                turn = await self.drawing.line.turn()
                try:
                    await self.upstream.ask("/sdapi/v1/options", {KEY: wanted.name}, LOAD_S)
                    failed = await self.failure(wanted)
                finally:
                    turn.end()
                log.info("the checkpoint %s, that was asked for without a picture, %s", wanted.name, "could not be loaded" if failed else "is set")
            except (Unreachable, Full) as why:
                log.warning("the checkpoint %s could not be set: %s", wanted.name, why or "the line is full")

        self.drawing.behind(later())

    async def failure(self, wanted):
        """A checkpoint that can't be loaded is answered with 200, and the option put back without a word: an answer that says so, or None."""
        self.checkpoints.forget()
        now = await self.checkpoints.current()
        if now == wanted:
            return None
        said = self.drawing.starts.last_words(r"^[\w.]*(Error|Exception)\b|changing setting sd_model_checkpoint")
        why = f"; its log says: {said}" if said else ""
        kept = f"; {now.name} stays set" if now else ""
        mend = hint(said) or "is the file whole, and of a family that this WebUI knows?"
        text = f"The WebUI could not load the checkpoint {wanted.name}{kept}{why}: {mend}"
        return problem(500, "LoadFailed", text)

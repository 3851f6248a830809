import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, expect, it } from "vitest";
import { inParallel, request } from "../../scripts/cli/http.ts";
import { isTimeout, Servers } from "../../scripts/cli/silence.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that takes connections, and answers what is not asked of `/mute`. */
async function serve(): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (question) => {
      asked++;
      if (!question.toString().startsWith("GET /mute"))
        socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked: () => asked };
}

/** Thirty questions, two at a time; what came of each. An answer may take its time: the machine may be busy. */
const askOften = (url: string, isMute: (nth: number) => boolean) => {
  const asked = new Servers();
  return inParallel(
    Array.from({ length: 30 }, (_, nth) => isMute(nth)),
    2,
    (mute) =>
      asked
        .ask(url, () => (mute ? request(`${url}mute`, { seconds: 0.3 }) : request(url, { seconds: 60 })), isTimeout)
        .then(
          ({ status }) => `HTTP ${status}`,
          (error: Error) => error.name,
        ),
  );
};

it("a server that says nothing is left after a few questions, with the reason for each that would have come", async () => {
  const mute = await serve();
  const came = await askOften(mute.url, () => true);
  expect(came).toHaveLength(30);
  expect(new Set(came)).toEqual(new Set(["TimeoutError"]));
  expect(mute.asked()).toBeLessThanOrEqual(4);
});

it("one that answers now and then is asked on, whatever it answers", async () => {
  const slow = await serve();
  const came = await askOften(slow.url, (nth) => nth % 3 === 2);
  expect(came.filter((one) => one === "HTTP 404")).toHaveLength(20);
  expect(came.filter((one) => one === "TimeoutError")).toHaveLength(10);
});

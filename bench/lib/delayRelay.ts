import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const [target, oneWayMs] = process.argv.slice(2).map(Number);

const server = createServer({ noDelay: true }, (near) => {
  const far = connect({ port: target ?? 0, host: "127.0.0.1", noDelay: true });
  carry(near, far);
  carry(far, near);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.stdin.resume().on("end", () => process.exit(0));

function carry(from: Socket, to: Socket): void {
  const later = (act: () => void) => setTimeout(act, oneWayMs);
  from.on("data", (data) => later(() => to.write(data)));
  from.on("end", () => later(() => to.end()));
  from.on("error", () => later(() => to.destroy()));
  to.on("error", () => {});
}

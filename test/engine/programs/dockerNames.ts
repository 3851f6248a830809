// A network and a volume whose names the program says, and a container that uses both.
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();
const opts = { provider: new docker.Provider("engine", { host: config.require("host") }) };
const labels = [{ label: "of", value: config.get("of") ?? "one" }];

const net = new docker.Network("net", { name: "named-net", labels }, opts);
const vol = new docker.Volume("vol", { name: "named-vol", labels }, opts);
new docker.Container(
  "box",
  {
    image: "local/box:1",
    networksAdvanced: [{ name: net.name }],
    volumes: [{ volumeName: vol.name, containerPath: "/data" }],
  },
  opts,
);

import { hostname } from "node:os";
import { isRole, type Role, roles } from "./roles.ts";

/**
 * What runs in a container of the stand-in's image: one of Dify's services, by REHEARSAL_ROLE or by the container's
 * host name. A service that has nothing to do here only says that it is there.
 */
const name = (process.env.REHEARSAL_ROLE || hostname()).replaceAll("-", "_");
if (!isRole(name)) {
  console.error(`REHEARSAL: no service of Dify is called ${name}; there are: ${Object.keys(roles).join(", ")}`);
  process.exit(64);
}
const role: Role = name;
// The beat's health check looks for its name on the command line of process 1.
process.title = `rehearsal-${role}${role === "worker_beat" ? " beat" : ""}`;
console.log(`REHEARSAL: a stand-in of Dify's ${role}, not the real one`);
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(0));
await roles[role](process.env);

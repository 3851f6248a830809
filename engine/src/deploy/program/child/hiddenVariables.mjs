/**
 * Variables that hold secrets: what a process was started with can be read in /proc by others of its user, goes on to every child
 * that it starts, and stands in its crash report. These are read by name, and not there for who lists them: a child process
 * gets those that are listed.
 */
export function hide(hidden) {
  process.env = new Proxy(process.env, {
    get: (env, name) => (Object.hasOwn(hidden, name) ? hidden[name] : env[name]),
    has: (env, name) => Object.hasOwn(hidden, name) || name in env,
  });
}

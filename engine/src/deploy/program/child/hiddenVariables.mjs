/**
 * Variables that hold secrets: what a process was started with can be read in /proc by others of its user, goes on to every child
 * that it starts, and stands in its crash report. These are read by name, and not there for who lists them: a child process
 * gets those that are listed.
 */
export function hide(hidden) {
  process.env = new Proxy(process.env, {
    get: (env, name) => (Object.hasOwn(hidden, name) ? hidden[name] : env[name]),
    has: (env, name) => Object.hasOwn(hidden, name) || name in env,
    // Without this, a variable that is there would be defined anew, by less than what node takes as a definition.
    set(env, name, value) {
      if (Object.hasOwn(hidden, name)) hidden[name] = String(value);
      else env[name] = value;
      return true;
    },
    deleteProperty: (env, name) => delete hidden[name] && delete env[name],
  });
}

"""Extensions: the folders below the data's extensions/, on unless the options switch them off."""

import os
import subprocess

from modules.cmd_args import data_path

extensions_dir = os.path.join(data_path, "extensions")


class Extension:
    def __init__(self, name, enabled):
        self.name = name
        self.path = os.path.join(extensions_dir, name)
        self.enabled = enabled

    def answered(self):
        """None without a remote or a branch: the real one then leaves the extension out of its list."""
        remote, branch, commit = (self._git(*words) for words in (
            ("config", "remote.origin.url"),
            ("symbolic-ref", "--short", "-q", "HEAD"),
            ("show", "-s", "--format=%H %ct", "HEAD"),
        ))
        if not (remote and branch and commit):
            return None
        sha, date = commit.split()
        return {
            "name": self.name,
            "remote": remote,
            "branch": branch,
            "commit_hash": sha,
            "version": sha[:8],
            "commit_date": date,
            "enabled": self.enabled,
        }

    def _git(self, *words):
        # Named folders: in a plain folder git would find the repository around it.
        command = ["git", f"--git-dir={os.path.join(self.path, '.git')}", "-c", "safe.directory=*", *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return ""


def found(opts):
    try:
        names = sorted(os.listdir(extensions_dir))
    except FileNotFoundError:
        return []
    off = opts["disabled_extensions"] or []
    return [Extension(name, name not in off) for name in names if os.path.isdir(os.path.join(extensions_dir, name))]


def answered(opts):
    return [entry for entry in (extension.answered() for extension in found(opts)) if entry]

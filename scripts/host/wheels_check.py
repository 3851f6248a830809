"""Compares a virtual environment with its lock, given on standard input; exit code 1 and a line for each difference.

Packages that load libraries of the host (libGL, the CUDA runtime) are imported: a missing one shows here, with its name,
and not minutes later in the service's log.
"""
import importlib
import importlib.metadata
import os
import re
import sys

# package -> module. Only those that are in the lock are imported.
IMPORTED = {"numpy": "numpy", "torch": "torch", "opencv-python": "cv2", "opencv-python-headless": "cv2", "pillow": "PIL.Image"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def marker_holds(marker):
    """uv writes markers for other systems into a universal lock; without `packaging` only the common ones are judged."""
    try:
        from packaging.markers import Marker
    except ImportError:
        return None
    try:
        return Marker(marker).evaluate()
    except Exception:
        return None


def locked(text):
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?\s*==\s*([^\s;\\]+)\s*(?:;\s*([^\\]+))?", line)
        if match:
            name, version, marker = match.groups()
            yield normal(name), version, marker_holds(marker.strip()) if marker else True


def main():
    wrong = []
    names = set()
    for name, version, wanted in locked(sys.stdin.read()):
        if wanted is False:
            continue
        names.add(name)
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if wanted is True:
                wrong.append(f"{name} {version} is not installed")
            continue
        if found.split("+")[0] != version.split("+")[0]:
            wrong.append(f"{name} is {found}; locked: {version}")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the GPU is not needed to load, and slow to wake
    for name, module in IMPORTED.items():
        if name in names and not wrong:
            try:
                importlib.import_module(module)
            except Exception as error:
                hint = ""
                library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", str(error))
                if library:
                    hint = f": the host lacks {library.group(1)} (Debian and Ubuntu: apt-get install libgl1 libglib2.0-0)"
                wrong.append(f"{module} does not load: {error}{hint}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Names the packages of which something that an import begins with, a module's `__init__.py` or a shared library, is gone, or has another
length than its record says: a line a package. Not every file: there are tens of thousands, and some disks are slow.

Argument: their folder, …/site-packages.
"""
import csv
import glob
import os
import re
import sys

LOOKED_AT = re.compile(r"(^|/)__init__\.py$|\.so(\.[\w.]+)?$")


def main():
    folder = sys.argv[1]
    # Two packages may bring one file, each its own: the one that came last won.
    files = {}
    for record in glob.glob(os.path.join(glob.escape(folder), "*.dist-info", "RECORD")):
        name = os.path.basename(os.path.dirname(record)).split("-")[0]
        with open(record, encoding="utf-8", newline="") as stream:
            for path, _, size in (row for row in csv.reader(stream) if len(row) == 3):
                if LOOKED_AT.search(path):
                    files.setdefault(path, []).append((name, size))
    damaged = set()
    for path, claims in files.items():
        try:
            size = str(os.stat(os.path.join(folder, path)).st_size)
        except OSError:
            size = None
        if not any(claimed == size or (size and not claimed) for _, claimed in claims):
            damaged.update(name for name, _ in claims)
    for name in sorted(damaged):
        print(re.sub(r"[-_.]+", "-", name).lower())


main()

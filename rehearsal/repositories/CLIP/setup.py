# As the real one: pkg_resources is gone from setuptools 81 on, so the build needs a constraint.
import os

import pkg_resources
from setuptools import find_packages, setup

here = os.path.dirname(os.path.abspath(__file__))

setup(
    name="clip",
    py_modules=["clip"],
    version="1.0",
    description="REHEARSAL: a stand-in for CLIP",
    packages=find_packages(exclude=["tests*"]),
    install_requires=[
        str(r) for r in pkg_resources.parse_requirements(open(os.path.join(here, "requirements.txt"), encoding="utf-8"))
    ],
)

"""The optional native kernel; everything else stands in pyproject.toml. Without a compiler or libcrypto's headers it is left out."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "mintmark.tlog._kernel",
            ["src/mintmark/tlog/_kernel.c"],
            libraries=["crypto"],
            extra_compile_args=["-O3", "-Wall", "-Wextra"],
            optional=True,
        )
    ]
)

"""The optional native kernel, left out without a compiler or libcrypto's headers; the rest is in pyproject.toml."""

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

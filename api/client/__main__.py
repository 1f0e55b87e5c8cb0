"""`python -m api.client` is `cil`."""

from api.client.cli import main

main()

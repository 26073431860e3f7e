"""`python -m davae`, which `accelerate launch -m davae` starts."""

from davae.cli.main import main

if __name__ == "__main__":
    main()

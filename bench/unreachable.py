"""A model whose first provider can't be reached; run inside Django's settings.

``python -m bench.unreachable BASE_URL`` makes the provider, with a key, and gives the model that it
prints two routes: that provider, and then the one that answers.
"""

import sys

import django

MODEL = "gpt-4o"


def main() -> None:
    django.setup()
    # Django's models can't be imported before its settings are ready.
    from usage.models import AIModel, ModelRoute, Provider, ProviderKey

    dead = Provider.objects.create(name="dead", kind="openai", base_url=sys.argv[1])
    ProviderKey.objects.create(provider=dead, label="dead", env="DEAD_API_KEY")
    model = AIModel.objects.get(name=MODEL)
    alive = Provider.objects.get(name=model.provider)
    ModelRoute.objects.filter(model=model).delete()
    for position, provider in enumerate((dead, alive), 1):
        ModelRoute.objects.create(model=model, provider=provider, position=position)
    print(MODEL)


if __name__ == "__main__":
    main()

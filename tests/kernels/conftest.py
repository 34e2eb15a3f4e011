from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def poisoned_outputs() -> Iterator[None]:
    """What a kernel is given to write into holds NaN, so that an element it leaves out is seen."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # then torch fills what is allocated and not written
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"))

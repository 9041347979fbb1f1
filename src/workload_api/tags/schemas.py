"""Tags as requests and answers bear them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from workload_api.db.models.tags import LONGEST_TAG_NAME, LONGEST_TAG_VALUE
from workload_api.http.models import AnswerModel, RequestModel, problem
from workload_api.identity.schemas import Tags

MOST_TAGS = 100


class TagInput(RequestModel):
    """A tag to be set."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_TAG_NAME)]
    value: Annotated[str, Field(max_length=LONGEST_TAG_VALUE)]


class SetTagsRequest(RequestModel):
    """All tags of a resource from now on."""

    tags: list[TagInput] = Field(max_length=MOST_TAGS)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [tag.name for tag in self.tags]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise problem(f"Two tags have the name {name!r}; a name has one value.", ("tags", number, "name"), name)
        return self


class TagsAnswer(AnswerModel):
    """All tags of a resource."""

    tags: Tags

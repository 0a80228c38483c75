"""The base of all records: one declaration of fields converts a record to its item and back.

A record is a pydantic dataclass, so a wrong field stops it at construction (`pydantic.ValidationError`, a
`ValueError`), and `from_item` turns that into `InvalidItem` with the item's key. Reading ignores attributes
that the record does not declare: other software may add its own. They are never lost, because an update sets
attributes one by one and never rewrites a whole item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, Self, cast, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from receipt_dynamo.attribute_values import read_value, write_value
from receipt_dynamo.errors import InvalidItem, InvalidValue, UnwritableItem
from receipt_dynamo.keys import LAYOUTS, KeyTemplate
from receipt_dynamo.types import Item

# A daemon touches a third of the records; validators are built for those, when they are first used.
STRICT = ConfigDict(strict=True, extra="forbid", defer_build=True)

CHANGEABLE = STRICT | ConfigDict(validate_assignment=True)
"""Of records whose state changes while they exist: a field may be set, and is checked as at construction."""


class Record:
    """Base of all records; a subclass declares its fields under the names of the item's attributes."""

    __slots__ = ()

    TYPE: ClassVar[str]
    KEY_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that stand in the item's key and in no attribute."""
    LEFT_OUT: ClassVar[frozenset[str]] = frozenset()
    """Attributes left out of the item when None or empty; any other None is written as NULL."""

    def keys(self) -> dict[str, str]:
        """Return PK, SK and the keys of every index that lists this record."""
        return {name: self._build(template) for name, template in LAYOUTS[self.TYPE].items()}

    def key(self) -> Item:
        """Return the item's primary key in DynamoDB JSON."""
        layout = LAYOUTS[self.TYPE]
        return {name: {"S": self._build(layout[name])} for name in ("PK", "SK")}

    def to_item(self) -> Item:
        """Return the item in DynamoDB JSON; raise `UnwritableItem` for a value that DynamoDB cannot hold."""
        keys = self.keys()
        item: Item = {name: {"S": key} for name, key in keys.items()}
        item["TYPE"] = {"S": self.TYPE}
        for name in attribute_names(type(self)):
            value = getattr(self, name)
            if name in self.LEFT_OUT and (value is None or value == {}):
                continue
            try:
                item[name] = write_value(name, value)
            except InvalidValue as error:
                where = f"{keys['PK']} / {keys['SK']}"
                raise UnwritableItem(self.TYPE, where, error.attribute, error.reason) from error
        return item

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Return the record of an item in DynamoDB JSON; raise `InvalidItem` for a malformed one."""
        where = _place_of(item)
        if type_of(item) != cls.TYPE:
            raise InvalidItem(cls.TYPE, where, "TYPE", f"must be {cls.TYPE}, not {type_of(item)}")
        given = cls._key_fields(item)
        try:
            for name in attribute_names(cls):
                if name in item:
                    given[name] = read_value(name, item[name])
            cls._refuse_missing_key_field(given)
            record = cast("Callable[..., Self]", cls)(**given)
        except InvalidValue as error:
            raise InvalidItem(cls.TYPE, where, error.attribute, error.reason) from error
        except ValidationError as error:
            attribute, reason = _first_fault(error)
            raise InvalidItem(cls.TYPE, where, attribute, reason) from error
        record.refuse_foreign_key(item, where)
        return record

    def refuse_foreign_key(self, item: Item, where: str) -> None:
        """Raise `InvalidItem` if the item stands under another key than its attributes say."""
        for name, value in self.key().items():
            if item[name] != value:
                raise InvalidItem(self.TYPE, where, name, f"must be {value['S']!r} for these attributes")

    @classmethod
    def _refuse_missing_key_field(cls, given: Mapping[str, Any]) -> None:
        # A new record may have a default there, such as the present moment, which no stored one has.
        layout = LAYOUTS[cls.TYPE]
        for name in (*layout["PK"].fields, *layout["SK"].fields):
            if name in attribute_names(cls) and name not in given:
                raise InvalidValue(name, "is wrong: Field required")

    def _build(self, template: KeyTemplate) -> str:
        return template.build(**{field: getattr(self, field) for field in template.fields})

    @classmethod
    def _key_fields(cls, item: Item) -> dict[str, Any]:
        parsed = fields_of(item, cls.TYPE, "PK", "SK")
        return {name: value for name, value in parsed.items() if name in cls.KEY_ONLY}


def check_attributes(kind: type[Record], attributes: Mapping[str, Any]) -> None:
    """Raise `InvalidItem` for an attribute that `kind` does not declare or whose value it would refuse."""
    for name, value in attributes.items():
        if name not in attribute_names(kind):
            known = ", ".join(attribute_names(kind))
            raise InvalidItem(kind.TYPE, "(update)", name, f"is unknown; use one of {known}")
        try:
            _field_adapter(cast("Any", kind), name).validate_python(value)
        except ValidationError as error:
            raise InvalidItem(kind.TYPE, "(update)", name, _first_fault(error)[1]) from error


def attribute_names(kind: type[Record]) -> tuple[str, ...]:
    """Return the fields of `kind` that its item holds as attributes."""
    return _attribute_names(cast("Any", kind))


@cache
def _attribute_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in kind.KEY_ONLY)


@cache
def _field_adapter(kind: Any, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(kind, include_extras=True)[name], config=ConfigDict(strict=True))


def _first_fault(error: ValidationError) -> tuple[str, str]:
    fault = error.errors(include_url=False)[0]
    return ".".join(map(str, fault["loc"])), f"is wrong: {fault['msg']}"


def type_of(item: Item) -> str:
    """Return what an item says it is, whoever wrote it."""
    return _text(item, "TYPE")


def fields_of(item: Item, record_type: str, *keys: str) -> dict[str, str | int]:
    """Return the fields that these keys of an item hold; raise `InvalidItem` for a key of another form."""
    parsed: dict[str, str | int] = {}
    for name in keys:
        try:
            parsed |= LAYOUTS[record_type][name].parse(_text(item, name))
        except ValueError as error:
            raise InvalidItem(record_type, _place_of(item), name, str(error)) from error
    return parsed


def fits_key(item: Item, record_type: str) -> bool:
    """Return whether an item's range key has the form of this kind's."""
    return LAYOUTS[record_type]["SK"].fits(_text(item, "SK"))


def _place_of(item: Item) -> str:
    return f"{_text(item, 'PK')} / {_text(item, 'SK')}"


def _text(item: Item, name: str) -> str:
    return str(item.get(name, {}).get("S", f"(no {name})"))

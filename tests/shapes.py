"""How annotations are checked under pytest: as beartype has it, with PEP 484's rule that an int will do for a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))

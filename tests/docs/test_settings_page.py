"""docs/settings.md is what `python scripts/settings_page.py` writes, and holds every field."""

import settings_page

from nanotabpfn.studies.spec import ArmSettings, ModelSettings, Study
from priors.field_reference import field_names


def test_the_page_is_up_to_date():
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), (
        "python scripts/settings_page.py writes it anew"
    )


def test_it_has_a_section_for_every_field_of_a_prior_and_a_row_for_every_field_of_a_study():
    page = settings_page.page()
    for name in field_names():
        assert f"### {name}\n" in page
    for settings in (Study, ArmSettings, ModelSettings):
        for name in settings.model_fields:
            assert f"| `{name}` |" in page

from lamplighter.models.pretrained import distinct_names


def test_a_class_is_called_by_its_first_synonym():
    assert distinct_names(["tench, Tinca tinca", "cock"], ["a fish", "a bird"]) == ("tench", "cock")


def test_classes_of_one_name_are_told_apart():
    synonyms = ["crane", "maillot", "crane", "maillot, tank suit", "hen"]
    definitions = ["a bird", "tights", "a machine", "a bathing suit", "a bird"]
    assert distinct_names(synonyms, definitions) == (
        "crane: a bird",
        "maillot: tights",
        "crane: a machine",
        "maillot, tank suit",
        "hen",
    )

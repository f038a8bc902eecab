"""The views of the page: which parts each shows, and how much of them."""

VIEWS = {
    "Overview": {"graphs": 3, "intervention": 1, "datasets": 1, "properties": 50},
    "Graphs": {"graphs": 12},
    "Datasets": {"datasets": 2},
    "Properties": {"properties": 200},
    "Mechanisms": {"mechanisms": 4},
    "Learnability": {"learnability": 24},
    "Intervention": {"intervention": 1},
    "Copy": {"copy": 1},
    "Everything": {
        "graphs": 3, "intervention": 1, "datasets": 1, "properties": 50, "mechanisms": 3, "learnability": 12,
        "copy": 1,
    },
}  # fmt: skip
"""Name of the view -> its parts, in the order of the page, with the number of draws or datasets of each. What
takes long is not in the first view: a change is shown when the pictures of the change before are complete."""

"""Which sampler and schedule a request means. Unknown ones fall back, as in the real one."""

from modules import contract


def resolve(sampler_name, scheduler_name):
    """(sampler's name, schedule's label, schedule as the picture's text says it)"""
    samplers = {sampler["name"]: sampler for sampler in contract.load("samplers")}
    schedulers = contract.load("schedulers")
    automatic = schedulers[0]
    by_name = {name: entry for entry in schedulers for name in (entry["name"], entry["label"])}
    scheduler = by_name.get(scheduler_name, automatic)
    for entry in schedulers:
        for name in (entry["label"], entry["name"], *(entry["aliases"] or [])):
            if sampler_name.endswith(" " + name):
                scheduler = entry
                sampler_name = sampler_name[: -len(name) - 1]
                break
    sampler = samplers.get(sampler_name) or next(iter(samplers.values()))
    own = sampler["options"].get("scheduler")
    used = by_name[own] if scheduler is automatic and own else scheduler
    label = automatic["label"] if own == scheduler["name"] else scheduler["label"]
    return sampler["name"], label, used["label"]

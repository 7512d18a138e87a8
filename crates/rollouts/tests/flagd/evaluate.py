"""Evaluates flags of a flagd definition with the in-process resolver of flagd's provider.

Reads JSON from standard input: {"file": PATH, "flag": NAME, "users": [{"targetingKey": KEY, ...}]}.
Writes the variants as a JSON list.
"""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

asked = json.load(sys.stdin)
provider = FlagdProvider(
    resolver_type=ResolverType.FILE,
    offline_flag_source_path=asked["file"],
    deadline_ms=30000,
)
# Older versions of the SDK wait by themselves.
getattr(api, "set_provider_and_wait", api.set_provider)(provider)
client = api.get_client()
variants = []
for user in asked["users"]:
    attributes = {key: value for key, value in user.items() if key != "targetingKey"}
    context = EvaluationContext(user["targetingKey"], attributes)
    details = client.get_string_details(asked["flag"], "no variant", context)
    if details.error_code is not None:
        sys.exit(f"{asked['flag']}: {details.error_code}: {details.error_message}")
    variants.append(details.variant)
json.dump(variants, sys.stdout)
sys.stdout.flush()
api.shutdown()

# What a simulated pod does, read from its annotations (`bed/...`) and from the commands of its containers.
# Prefixed to every expression of pods.yaml.
def note($key): (.metadata.annotations // {})["bed/" + $key];
def alive: .metadata.deletionTimestamp == null;
def condition($type): [(.status.conditions // [])[] | select(.type == $type) | .status] | first // "False";
def finite: .spec.restartPolicy == "Never" or .spec.restartPolicy == "OnFailure";
def main_state: (.status.containerStatuses // [{}])[0].state // {};

# The words a container runs, without the shell around them: `sh -c "sleep 2; exit 1"` is `sleep 2; exit 1`.
def line: [(.command // [])[], (.args // [])[]] | join(" ") | sub("^\\s*(/usr)?(/bin/)?(ba|da|a)?sh\\s+(-[a-z]+\\s+)*"; "");
def lines: [.spec.containers[] | line];
def bad_command: test("(^|[\\s;&|/])bad-command");
def line_code:
  if bad_command then 128
  elif test("(^|[\\s;&|])exit\\s+[0-9]+") then capture("(^|[\\s;&|])exit\\s+(?<n>[0-9]+)").n | tonumber
  elif test("(^|[\\s;&|/])false\\s*$") then 1
  else 0 end;
def line_seconds:
  if test("sleep\\s+inf") then 315360000
  else [scan("(?:^|[\\s;&|])sleep\\s+([0-9.]+)([smh]?)") | (.[0] | tonumber) * ({"": 1, "s": 1, "m": 60, "h": 3600}[.[1]])] | add // 0 end;
def exit_code: if note("exit-code") then note("exit-code") | tonumber elif note("fail") == "crash" then 1 else [lines[] | line_code] | max end;
def run_for: note("run-for") // (([lines[] | line_seconds] | max | tostring) + "s");

def crashes: exit_code != 0 and .spec.restartPolicy != "Never";
def crashes_at_once: crashes and (run_for == "0s");
def hangs: note("fail") == "hang";
def images: [((.spec.initContainers // [])[], .spec.containers[]) | .image // ""];
def invalid_image: any(images[]; test("\\s") or test("^[^:@]*[A-Z]") or test(":$"));
def unpullable: note("fail") == "pull" or invalid_image or any(images[]; test("does-?not-?exist|not-?a-?real|no-such-image|nonexist"));
def gates_open: . as $pod | all((.spec.readinessGates // [])[]; .conditionType as $t | ($pod | condition($t)) == "True");

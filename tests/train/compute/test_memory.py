"""What a picture costs and what there is are told as the system tells them."""

from export.runtime.memory import available_memory


def machine(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = "MemTotal:  100000 kB\nMemAvailable:   9000 kB\n"


def test_free_memory_is_the_machines(tmp_path):
    assert available_memory(machine(tmp_path, {"proc/meminfo": MEMINFO})) == 9000 * 1024


def test_free_memory_minds_control_groups_v2_above_the_process(tmp_path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/app/worker\n",
        "sys/fs/cgroup/app/worker/memory.max": "max\n",
        "sys/fs/cgroup/app/worker/memory.current": "3\n",
        "sys/fs/cgroup/app/memory.max": "5000000\n",
        "sys/fs/cgroup/app/memory.current": "4000000\n",
        "sys/fs/cgroup/app/memory.stat": "anon 1\ninactive_file 500000\n",
    }
    assert available_memory(machine(tmp_path, files)) == 1_500_000


def test_free_memory_minds_control_groups_v1(tmp_path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu:/\n4:memory:/not/visible/inside\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "6000000",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "7000000",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 1200000\n",
    }
    assert available_memory(machine(tmp_path, files)) == 200_000


def test_free_memory_falls_back_on_the_systems_own_answer(tmp_path):
    assert available_memory(tmp_path) > 0

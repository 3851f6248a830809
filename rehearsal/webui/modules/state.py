"""What is being drawn now: behind /sdapi/v1/progress, interrupt and skip."""

import datetime
import time


class State:
    def __init__(self):
        self.end()

    def begin(self, job, count, steps):
        self.job = job
        self.job_count = count
        self.job_timestamp = datetime.datetime.now().strftime("%Y%m%d%H%M%S")
        self.job_no = 0
        self.sampling_step = 0
        self.sampling_steps = steps
        self.skipped = self.interrupted = False
        self.started = time.time()
        self.preview = None

    def end(self):
        self.begin("", 0, 0)
        self.job_timestamp = "0"

    def answered(self, with_image=True):
        progress = eta = 0.0
        if self.job_count:
            progress = 0.01 + self.job_no / self.job_count
            if self.sampling_steps:
                progress += self.sampling_step / self.sampling_steps / self.job_count
            progress = min(progress, 1)
            spent = time.time() - self.started
            eta = spent / progress - spent
        return {
            "progress": progress,
            "eta_relative": eta,
            "state": {
                "skipped": self.skipped,
                "interrupted": self.interrupted,
                "stopping_generation": False,
                "job": self.job,
                "job_count": self.job_count,
                "job_timestamp": self.job_timestamp,
                "job_no": self.job_no,
                "sampling_step": self.sampling_step,
                "sampling_steps": self.sampling_steps,
            },
            "current_image": self.preview if with_image else None,
            "textinfo": None,
        }

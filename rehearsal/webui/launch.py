from modules import launch_utils

if __name__ == "__main__":
    launch_utils.start()

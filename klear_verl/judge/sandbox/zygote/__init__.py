# SPDX-License-Identifier: Apache-2.0
"""What runs inside the exec'd zygote process. Standard library only: its size is paid for at every fork."""

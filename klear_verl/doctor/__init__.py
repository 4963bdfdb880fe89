# SPDX-License-Identifier: Apache-2.0
"""`klear doctor`: what works on this machine, which layer is missing, what to do. Changes nothing."""

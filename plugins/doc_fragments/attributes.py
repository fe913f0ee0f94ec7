# SPDX-FileCopyrightText: 2026 The mailops.filter_stack contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules say alike of check mode, diff mode and idempotence."""

from __future__ import annotations


class ModuleDocFragment:
    #: what each attribute means, for a module that says itself what it supports
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in check mode), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
"""

    #: a module that only looks
    READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The module changes nothing.
  diff_mode:
    support: none
    details:
      - There is nothing to compare, as the module changes nothing.
"""

    #: a module that edits one file of Postfix
    EDITS = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - The new file is validated in check mode too. When Postfix is not installed, so that there is no C(postconf),
        check mode skips the validation with a warning; without check mode that is an error.
  diff_mode:
    support: full
    details:
      - Shows the whole file before and after.
"""

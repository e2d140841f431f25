// SPDX-License-Identifier: MIT
/* The least that a program can be: no section says what it is. */
int func(void)
{
	return 42;
}

/** Thrown by a measurement that needs what is not on this machine: no failure, the table says so and the rest goes on. */
export class Absent extends Error {}

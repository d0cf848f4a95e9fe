#version 330 core
layout(location = 0) in vec3 position;
layout(location = TEXCOORD_0_LOC) in vec2 texcoord_0;

uniform mat4 V;
uniform mat4 P;
uniform vec4 part_rows[3 * MAX_PARTS];

void main()
{
    int row = 3 * int(texcoord_0.x + 0.5);
    vec4 p = vec4(position, 1.0);
    vec4 world = vec4(dot(part_rows[row], p), dot(part_rows[row + 1], p), dot(part_rows[row + 2], p), 1.0);
    gl_Position = P * (V * world);
}
